"""Pure decisions: observation in, decision out; clock and randomness are arguments."""
