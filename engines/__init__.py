"""Networks at run time: contracts, sessions on their back-ends, codecs and the skeleton."""
