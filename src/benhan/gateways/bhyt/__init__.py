"""Health insurance (BHYT): claim packages, the portal, its simulator, and intake of packages of other software."""
