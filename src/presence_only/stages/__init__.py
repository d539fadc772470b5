"""One thin ``main`` per DVC stage; nothing else imports them."""
