"""What asv times of every commit (`asv.conf.json`), and a baseline to compare with (`make bench-history`)."""
