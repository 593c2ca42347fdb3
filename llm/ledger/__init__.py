"""The ledger of calls: what was asked of which provider, what it cost, and the page that adds it up."""
