"""What a page of many runs costs: seconds and memory to build, bytes, and seconds to open and sort in a browser."""
