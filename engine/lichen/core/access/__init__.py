"""The access log: who is in a space, with what rights, under which keys; decided alike by every replica."""
