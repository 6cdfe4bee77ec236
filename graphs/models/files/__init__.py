"""Models as files: `store` is the folder they are kept in, `facts` what is known of one; the rest is how they come there."""
