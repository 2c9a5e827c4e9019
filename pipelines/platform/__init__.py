"""One authenticated, paced, retried request, and the API's structures as typed records.

Lists, pages and what they mean for completeness belong to `extract`, not here.
"""
