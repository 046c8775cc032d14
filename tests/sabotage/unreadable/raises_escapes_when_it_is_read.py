"""The problem that is reported of it clears the terminal and turns its line around. Exploit 66."""

raise ValueError("\x1b[2J\x1b]0;title\x07 <script>alert(1)</script> \u202e\u2066 =cmd() \ud800\r\x00")
