package server

// Version is diskv's own version.
const Version = "0.1.0"
