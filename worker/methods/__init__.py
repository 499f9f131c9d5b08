"""The methods: one public module (or package) each; see `_registry`."""
