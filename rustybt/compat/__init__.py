"""The only room that imports zipline: its readers, portal and run on rustybt's bundles."""
