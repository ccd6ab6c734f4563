"""What people decide: an actor and an intention in, the change with its log rows out, or an error.

Each function asks for the permission itself and is one transaction: the change, its row in the
change log and its row in the audit log stand or fall together. Wrong input raises ConfigError in
words for people, a missing permission django's PermissionDenied.
"""
