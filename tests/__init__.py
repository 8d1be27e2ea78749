"""A package, since the platform's own client, which the tests install, brings one of this name too."""
