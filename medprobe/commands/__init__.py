"""The subcommands of medprobe: each reads its arguments and calls what does the work."""
