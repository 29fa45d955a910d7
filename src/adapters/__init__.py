"""What the ports are made of: one package per outside part, none knowing another."""
