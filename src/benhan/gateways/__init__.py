"""One folder per neighbour: each translates between its own messages and FHIR. Gateways never import each other."""
