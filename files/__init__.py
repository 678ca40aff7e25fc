"""The ground: reading any file while executing nothing, our own files, the catalog and downloads, the one family of errors."""
