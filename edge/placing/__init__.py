"""Where nodes run best: figures, and the search for the places that suit them."""
