"""Files of one array, larger than memory if need be: what `fastinit create` consists of."""
