"""The viewer: run folders in a browser, click by click. It imports none of the training side."""
