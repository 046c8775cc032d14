"""D. Attacks on the house: the process, the machine, the files and the readers around the kernel.

Most are right besides. One that the system has to hold back says itself, by an AssertionError that begins with
`got through`, that it was not held back: there `passed` means that it has tried and gained nothing.
"""

from __future__ import annotations

from harness.sabotage.attack import Attack, Defence

ON_33 = "float32[33]dim=0,values=integers"
EXACT = "every correct order of operations is exact"
FORGED = "malformed reply|more than one reply|another request|is no list of|no object but list|no JSON"


def _sum(
    name: str,
    exploits: tuple[int, ...],
    source: str,
    tries: str,
    defence: Defence,
    status: str,
    reason: str = "",
    *behind: Defence,
    case: str = ON_33,
) -> Attack:
    """A sum that is checked on one case; `status` may name several."""
    selector = f"sum/numpy/{name}/{case}"
    return Attack(name, exploits, source, tries, "check", selector, defence, (*status.split(),), reason, behind=behind)


def _held(name: str, exploits: tuple[int, ...], source: str, tries: str, defence: Defence = Defence.SANDBOX) -> Attack:
    """A sum that is right, and raises where the system has not held it back."""
    return _sum(name, exploits, source, tries, defence, "passed")


def _clock(name: str, exploits: tuple[int, ...], source: str, tries: str, reason: str) -> Attack:
    """A softmax that changes its own time from inside of the worker."""
    selector = f"softmax/numpy/{name}/float32[1024x1000]dim=1"
    status = ("untrusted", "failed")
    return Attack(
        name,
        exploits,
        source,
        tries,
        "time",
        selector,
        Defence.SECOND_CLOCK,
        status,
        reason,
        "takes_its_time",
        (Defence.CEILING,),
    )


def _file(name: str, exploits: tuple[int, ...], source: str, tries: str, reason: str) -> Attack:
    """A plugin file that is refused when it is read."""
    return Attack(name, exploits, source, tries, "read", "", Defence.READERS, ("refused",), reason)


OURS = "ours"
P = Defence.OTHER_PROCESS
OWN = Defence.OWN_PROCESS
MESSAGES = Defence.PROTOCOL

ENDS = (
    _sum("reads_address_zero", (63,), OURS, "dies of a bad address", P, "crashed", "SIGSEGV"),
    _sum("reads_address_zero_in_silence", (63,), OURS, "the same without a report", P, "crashed", "SIGSEGV"),
    _sum("aborts", (63,), "pygpubench exploits", "ends by abort()", P, "crashed", "SIGABRT"),
    _sum("exits_at_once", (63,), "pygpubench exploits", "ends the process with a code", P, "crashed", "code 3"),
    _sum("exits_at_once_as_if_well", (63, 19), OURS, "ends the process as if all were well", P, "crashed", "code 0"),
    _sum("exits", (63,), OURS, "raises SystemExit", P, "error", "SystemExit"),
    _sum("interrupts", (63,), OURS, "raises KeyboardInterrupt, as a person would", P, "error", "KeyboardInterrupt"),
    _sum("raises_what_nobody_catches", (63,), OURS, "raises a bare BaseException", P, "crashed", "beyond Exception"),
    _sum("loops", (64,), OURS, "never returns", P, "timeout", "no answer within"),
    _sum("waits_in_native_code", (64, 63), OURS, "waits with all signals blocked", P, "timeout", "no answer within"),
    _sum("stops_itself", (63,), OURS, "stops its own process", P, "timeout", "no answer within"),
    _sum("kills_itself", (63,), OURS, "kills its own process", P, "out_of_memory crashed", "SIGKILL"),
    _sum("terminates_itself", (63,), OURS, "ends itself by a signal", P, "crashed", "SIGTERM"),
    _sum("exits_in_its_preparation", (63,), OURS, "ends the process while it prepares", P, "crashed", "code 4"),
    _sum(
        "closes_all_descriptors", (63, 9), OURS, "closes the connection under the worker", P, "crashed", "closed|exited"
    ),
    _sum(
        "dies_with_escapes",
        (66, 63),
        OURS,
        "its last words are escapes",
        P,
        "crashed",
        r"^[^\x00-\x1f\u202e]*code 9[^\x00-\x1f\u202e]*$",
    ),
    _sum(
        "executes_another_program",
        (61, 9, 16),
        OURS,
        "becomes a program that says all is well",
        MESSAGES,
        "untrusted",
        FORGED,
    ),
    _sum(
        "forks_and_answers_twice",
        (63, 16),
        OURS,
        "two processes answer one request",
        MESSAGES,
        "untrusted",
        # whose reply comes first is a race; the CPU clock of a child begins at 0, below what its parent had read
        "more than one|another|asked for|JSON|-[0-9]+ where a natural number is right",
    ),
)

REPLIES = (
    _sum(
        "writes_garbage_to_the_socket",
        (61, 9),
        OURS,
        "bytes without meaning in the reply",
        MESSAGES,
        "untrusted",
        "claims",
    ),
    _sum(
        "claims_a_reply_without_end",
        (61, 64),
        OURS,
        "a reply of two gigabytes",
        MESSAGES,
        "untrusted",
        "a reply that claims",
    ),
    _sum("sends_a_reply_that_is_no_json", (61,), OURS, "a reply that cannot be read", MESSAGES, "untrusted", FORGED),
    _sum(
        "sends_a_reply_nested_without_end",
        (61, 64),
        OURS,
        "a reply that is nested 100,000 times",
        MESSAGES,
        "untrusted",
        FORGED,
    ),
    _sum("sends_a_reply_that_is_a_list", (61,), OURS, "a reply of another kind", MESSAGES, "untrusted", FORGED),
    _sum("sends_an_empty_reply", (61, 49), OURS, "a reply without answers", MESSAGES, "untrusted", FORGED),
    _sum(
        "sends_the_reply_of_a_passed_test",
        (61, 9),
        "pygpubench #7 (results written by the candidate)",
        "the reply of a test that went well",
        MESSAGES,
        "untrusted",
        FORGED,
    ),
    _sum(
        "sends_a_second_reply_later",
        (61, 69),
        OURS,
        "leaves a reply for whoever asks next",
        MESSAGES,
        "untrusted",
        "nobody had asked|more than one|another request",
        OWN,
    ),
    _sum(
        "reports_an_error_that_counts_as_passed",
        (61, 49),
        "pygpubench exploits",
        "an error of the kind `passed`",
        MESSAGES,
        "untrusted",
        "an error of kind",
    ),
    _sum(
        "sends_a_pickle",
        (65,),
        "pygpubench #7",
        "a pickle that runs code where it is read",
        MESSAGES,
        "untrusted",
        "no JSON|more than one|asked for",
    ),
    _sum(
        "sends_a_descriptor",
        (61, 9),
        OURS,
        "hands open files to the supervisor",
        MESSAGES,
        "untrusted",
        "claims|no JSON|more than one",
    ),
    _sum(
        "answers_before_the_worker_does",
        (61, 8),
        "pygpubench exploits",
        "finds the number of a request in a frame, and answers it first",
        MESSAGES,
        "untrusted",
        "more than one reply|another request|asked for|is no list of",
    ),
    _sum(
        "claims_a_dtype_of_objects",
        (61, 42),
        OURS,
        "describes its answer as objects",
        Defence.STRUCTURE,
        "failed",
        "dtype|shape",
    ),
    _sum(
        "claims_a_shape_beyond_memory",
        (61, 64),
        OURS,
        "describes an answer of 2**62 elements",
        Defence.STRUCTURE,
        "failed",
        r"where \(\) is right",
    ),
    _sum(
        "claims_two_answers_in_one",
        (61, 41),
        OURS,
        "describes one answer as two",
        Defence.STRUCTURE,
        "failed",
        "returned 2 arrays",
    ),
    _sum(
        "patches_struct", (61,), OURS, "changes the lengths of messages", MESSAGES, "untrusted", "a reply that claims"
    ),
    _sum("patches_mmap", (61,), OURS, "shared memory that only the worker has", OWN, "failed", EXACT),
)

PATCHES = (
    _sum(
        "patches_what_compares",
        (61,),
        "SOL-ExecBench evil_monkey_patch; KernelBench #82",
        "every comparison of NumPy says yes",
        P,
        "failed",
        EXACT,
    ),
    _sum("patches_the_judge", (61,), OURS, "replaces the harness's judge", P, "failed", EXACT),
    _sum(
        "patches_the_oracle",
        (61, 52),
        "KernelBench #25",
        "the reference agrees with what it answers",
        P,
        "failed",
        EXACT,
    ),
    Attack(
        "patches_torch",
        (61,),
        "SOL-ExecBench evil_monkey_patch",
        "every comparison of torch says yes",
        "check",
        f"sum/torch/patches_torch/{ON_33}",
        P,
        ("failed",),
        EXACT,
    ),
    _sum(
        "patches_the_worker",
        (61, 51),
        OURS,
        "the worker's own checks find nothing",
        Defence.MEMORY,
        "failed",
        "modified its input 0",
    ),
    _sum(
        "makes_numpy_wrong",
        (61, 70),
        "SOL-ExecBench evil_monkey_patch",
        "np.sum is wrong for whoever comes next",
        OWN,
        "failed",
        EXACT,
    ),
    _sum(
        "patches_the_functions_of_numpy",
        (61, 70),
        OURS,
        "functions of NumPy raise for whoever comes next",
        OWN,
        "passed error",
        "patched by a plugin",
    ),
    _sum(
        "patches_json",
        (61,),
        OURS,
        "messages cannot be written",
        P,
        "crashed error untrusted",
        "crashed|exited|patched",
    ),
    _sum(
        "patches_builtins",
        (61, 70),
        OURS,
        "zip and isinstance raise",
        P,
        "crashed error untrusted",
        "patched|exited",
    ),
    _sum("patches_pickle", (61, 65), OURS, "whatever is unpickled runs its code", P, "passed"),
    _sum(
        "dies_while_another_is_running",
        (61, 63),
        OURS,
        "ends the worker once it runs somebody else",
        OWN,
        "passed",
    ),
    _sum(
        "leaves_a_thread_that_stops_the_process",
        (63, 69),
        OURS,
        "a thread stops the process later",
        P,
        "passed timeout",
        "no answer",
    ),
    _sum("leaves_hooks_everywhere", (63, 61), OURS, "hooks for exits, imports, threads, forks", OWN, "passed"),
    _sum(
        "raises_in_the_workers_own_code",
        (63,),
        OURS,
        "a timer raises wherever the worker is",
        P,
        "error crashed out_of_memory untrusted",
        "all is well|exited|MemoryError|JSON",
    ),
    _sum(
        "puts_a_library_before_the_others",
        (62,),
        "KernelGuard's list",
        "modules where the next worker starts",
        OWN,
        "passed",
    ),
    _sum(
        "prepares_the_environment_of_others",
        (70, 9, 12),
        OURS,
        "variables that others would go by",
        OWN,
        "passed",
    ),
    _clock(
        "overwrites_the_start_of_the_clock",
        (61, 8, 10),
        "pygpubench exploits",
        "writes into the frame that times it",
        "hidden from the worker's clock",
    ),
    _clock(
        "replaces_the_code_of_the_clock",
        (61, 6),
        "pygpubench exploits",
        "gives the clock's function other code",
        "hidden from the worker's clock|natural number",
    ),
    _clock(
        "finds_the_clock_by_its_referrers",
        (61, 8),
        "pygpubench exploits",
        "finds a saved clock through the collector",
        "hidden from the worker's clock|natural number",
    ),
    _clock(
        "changes_the_reading_as_it_returns",
        (61, 8, 10),
        "pygpubench exploits",
        "halves the numbers in memory",
        "hidden from the worker's clock",
    ),
    Attack(
        "answers_after_its_reply",
        (63, 2, 14),
        OURS,
        "works in shared memory while the supervisor reads there",
        "time",
        "softmax/numpy/answers_after_its_reply/float32[1024x1000]dim=1",
        Defence.TIMED_ANSWERS,
        ("failed", "untrusted"),
        "an answer of a timed call is wrong|hidden from the worker's clock",
        "takes_its_time",
        (Defence.SECOND_CLOCK,),
    ),
)

STATE = (
    _sum(
        "sets_flush_to_zero",
        (70, 53),
        OURS,
        "subnormal numbers are zero from now on",
        Defence.STATE,
        "failed",
        "flush-to-zero mode",
    ),
    _sum(
        "sets_flush_to_zero_in_its_preparation",
        (70, 53),
        OURS,
        "the same, before it is called",
        Defence.STATE,
        "failed",
        "flush-to-zero mode",
    ),
    _sum(
        "rounds_downwards",
        (70,),
        OURS,
        "another rounding mode from now on",
        Defence.STATE,
        "failed",
        "rounding mode|elements are wrong",
    ),
    _sum(
        "sets_the_error_state",
        (70,),
        OURS,
        "NumPy raises where it warned",
        Defence.STATE,
        "failed",
        "NumPy error state",
    ),
    _sum(
        "changes_the_directory", (70,), OURS, "stands in another folder", Defence.STATE, "failed", "current directory"
    ),
    _sum(
        "changes_what_outlives_a_call",
        (70,),
        OURS,
        "limits, seeds, masks, time zone, signals",
        OWN,
        "passed",
    ),
)

EXHAUSTS = (
    _sum(
        "takes_all_memory",
        (64,),
        OURS,
        "takes memory until there is none",
        Defence.LIMITS,
        "out_of_memory",
        "MemoryError",
    ),
    _sum("floods_stdout", (64,), OURS, "prints without end", Defence.LIMITS, "error", "printed more than 8 MiB"),
    _sum(
        "floods_the_descriptors",
        (64,),
        OURS,
        "writes to its standard streams without end",
        Defence.LIMITS,
        "error",
        "printed more than 8 MiB",
    ),
    _sum(
        "opens_every_descriptor",
        (64,),
        OURS,
        "opens descriptors until there are none",
        Defence.LIMITS,
        "error",
        "Too many open files",
    ),
    _held("fills_the_disk", (64,), OURS, "8 GiB of the disk"),
    _held("fills_shared_memory", (64,), OURS, "3 GiB of memory that no limit counts"),
    _held("leaves_system_v_memory", (64,), OURS, "memory and queues that outlive all processes"),
    _held("forks_again_and_again", (64, 63), OURS, "a hundred processes", OWN),
    _held("seals_the_shared_memory", (64, 61), OURS, "the supervisor cannot make it larger", Defence.MEMORY),
)

FILES = (
    _held("writes_into_the_store", (62,), "pygpubench #7 (result file)", "writes a result of its own"),
    _held("writes_into_the_cache_of_declarations", (62,), OURS, "changes what others declare"),
    _held("poisons_the_compiled_kernels", (62,), OURS, "a library that honest kernels load"),
    _held("writes_bytecode_of_the_harness", (62,), OURS, "code that the next worker and the supervisor run"),
    _held("writes_bytecode_of_numpy", (62,), OURS, "the same in a library"),
    _held("plants_code_that_runs_at_start", (62,), "KernelGuard's list", "code that every Python runs"),
    _held("writes_into_the_folder_of_plugins", (62,), OURS, "changes a plugin after it was read"),
    _held("plants_a_link_for_others", (62,), OURS, "a link under a name that others write to"),
    _held("leaves_its_own_folder_by_a_link", (62,), OURS, "a link that leads out of its folder"),
    _held("moves_and_deletes_what_is_not_its_own", (62,), OURS, "renames, links, truncates, makes folders"),
)

OTHERS = (
    _held("reads_the_supervisors_memory", (63, 9, 24), "robust-kbench #1", "reads the expected values where they are"),
    _held("traces_the_supervisor", (63, 9), "pygpubench exploits", "becomes the supervisor's debugger"),
    _held("takes_descriptors_of_the_supervisor", (63, 9), "pygpubench exploits", "takes the supervisor's open files"),
    _held("signals_other_processes", (63,), OURS, "stops its rivals and the supervisor"),
    _held("limits_the_supervisor", (63, 64), OURS, "takes files and time from the supervisor"),
    _held("moves_the_supervisor_to_one_core", (63, 11, 12), OURS, "decides where the supervisor runs"),
    _held("offers_the_supervisor_to_the_kernel", (63,), OURS, "has the supervisor ended when memory is short"),
    _held("raises_its_priority", (70, 11), OURS, "runs before its rivals"),
    _held("writes_to_the_terminal", (66,), OURS, "writes past the supervisor"),
    _held("inherits_more_than_its_own", (63, 9), "pygpubench exploits", "uses descriptors that were left open", P),
    _held("leaves_a_daemon", (69,), OURS, "a process that outlives its worker"),
    _held("leaves_a_key_with_the_kernel", (69,), OURS, "a message in the kernel's keyring"),
    _held("connects_to_the_network", (68,), OURS, "fetches answers by TCP"),
    _held("sends_datagrams", (68,), OURS, "the same by UDP"),
    _held("meets_another_in_an_abstract_socket", (68, 69), OURS, "a meeting place without a file"),
    _held("asks_the_kernel_by_netlink", (68,), OURS, "events of the kernel, packets of the wire"),
    _held("goes_around_the_filter", (68, 62), OURS, "io_uring, and the x32 table of system calls"),
    _held("gains_rights_by_a_program", (63,), OURS, "programs that run as another user"),
    _held("makes_a_world_of_its_own", (62,), OURS, "namespaces in which it is root"),
)

WORDS = (
    _sum(
        "raises_escapes_and_markup",
        (66,),
        OURS,
        "escapes and HTML in a reason",
        Defence.READERS,
        "error",
        r"^[^\x00-\x1f]*<script>[^\x00-\x1f]*$",
    ),
    _sum(
        "raises_half_characters",
        (66,),
        OURS,
        "a reason that no encoder takes",
        Defence.READERS,
        "error",
        "^[^\ud800-\udfff]*$",
    ),
    _sum(
        "raises_shell_words_and_links",
        (66,),
        OURS,
        "shell words, links, text from right to left",
        Defence.READERS,
        "error",
        "^[^\u202e\u2066\u200b]*$",
    ),
    _sum(
        "raises_what_can_never_be_shown",
        (66,),
        OURS,
        "a reason whose own code fails",
        P,
        "error",
        "Silent",
    ),
    _sum(
        "refuses_at_length",
        (66, 64),
        OURS,
        "a refusal of a megabyte",
        Defence.READERS,
        "unsupported",
        "^[^\x00-\x1f]{10,2000}$",
    ),
)

READ = (
    _file(
        "registers_under_an_existing_id", (67,), OURS, "a faster builtin", "sum/numpy/builtin is already declared by"
    ),
    _file("replaces_a_backend", (67,), OURS, "a backend that reads other answers", "backend numpy is already declared"),
    _file("replaces_an_operator", (67,), OURS, "an operator that accepts everything", "no operator is called"),
    _file("has_a_path_for_a_name", (62, 66), OURS, "a name that is a path", "no Python identifier"),
    _file("has_markup_for_a_name", (66,), OURS, "a name that is HTML", "no Python identifier"),
    _file("has_escapes_for_a_name", (66,), OURS, "a name that is escapes", r"^[^\x00-\x1f]*no Python identifier"),
    _file("has_a_test_id_for_a_name", (66,), OURS, "a name that is a test's id", "no Python identifier"),
    _file("has_a_formula_for_a_name", (66,), OURS, "a name that is a formula", "no Python identifier"),
    _file("has_an_endless_name", (66, 64), OURS, "a name of a million letters", "^.{1,300}at most 200 characters"),
    _file("looks_like_the_builtin", (66, 67), OURS, "a name that is read as another", "letters beyond ASCII"),
    _file(
        "forges_its_declarations", (67, 61), OURS, "a list of declarations of its own", "reading it failed: untrusted"
    ),
    _file("exits_when_it_is_read", (63,), OURS, "ends who imports it", "reading it failed: crashed: .*code 0"),
    _file("takes_memory_when_it_is_read", (64,), OURS, "takes the memory of who imports it", "Cannot allocate memory"),
    _file("raises_escapes_when_it_is_read", (66,), OURS, "a problem that is escapes", r"^[^\x00-\x1f\u202e]*title"),
)

HOUSE: tuple[Attack, ...] = (*ENDS, *REPLIES, *PATCHES, *STATE, *EXHAUSTS, *FILES, *OTHERS, *WORDS, *READ)
