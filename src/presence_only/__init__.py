"""Which loss should I use to learn species ranges from presence-only records?"""
