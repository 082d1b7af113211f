"""The core: sources, bundles and bars. It imports neither zipline nor any provider."""
