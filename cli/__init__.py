"""The command line's own room: one module per command, over subspaces/, stylegan2/ and avatars/."""
