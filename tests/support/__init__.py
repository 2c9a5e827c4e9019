"""Helpers of the tests: raw syncs from JSON records, platforms in process, commands as real processes."""
