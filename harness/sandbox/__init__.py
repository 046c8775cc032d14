"""What the operating system forbids a process that runs plugin code: applied before any of it is imported."""
