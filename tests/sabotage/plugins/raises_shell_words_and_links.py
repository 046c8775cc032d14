"""A reason that is a command for the shell, a link of Markdown, an entity, a table, and text from right to left.

Source: exploit 66.
"""

from harness import implementation


@implementation("sum", backend="numpy")
def raises_shell_words_and_links(x, *, dim):
    raise RuntimeError(
        "$(reboot) `reboot`; [click](javascript:alert(1)) | &lt;b&gt; \u202e\u2066txt.exe \N{ZERO WIDTH SPACE} %s%n"
    )
