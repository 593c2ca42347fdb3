"""What happened to a question and when, from the browser that sent it to the browser that showed its answer."""
