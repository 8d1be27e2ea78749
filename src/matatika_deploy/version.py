"""The version, in its one place: the package's metadata and the User-Agent both read it from here."""

__version__ = "1.0.0"
