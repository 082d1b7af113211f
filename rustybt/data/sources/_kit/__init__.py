"""What `rustybt.data.sources.testing` is made of."""
