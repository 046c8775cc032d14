from task import input_t, output_t


def custom_kernel(data: input_t) -> output_t:
    x, answer = data
    answer[0] = x.sum() / x.numel()
    return answer
