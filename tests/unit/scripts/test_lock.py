from __future__ import annotations

from scripts.lock import trimmed

RESOLVED = """\
# made by a tool
zebra==1 ; sys_platform != 'emscripten'
colorama==0.4.6 ; sys_platform == 'win32'
torch==2 ; sys_platform == 'darwin'
torch==2+cpu ; platform_machine == 'aarch64' or platform_machine == 'x86_64'
plain==3
six==1 ; python_full_version >= '3.12'
intel==4 ; platform_machine == 'x86_64'
"""


def test_only_what_decides_something_here_is_kept() -> None:
    assert trimmed(RESOLVED).splitlines() == [
        "# made by a tool",
        "intel==4 ; platform_machine == 'x86_64'",
        "plain==3",
        "six==1 ; python_full_version >= '3.12'",
        "torch==2+cpu",
        "zebra==1",
    ]
