"""The checks of `doctor`: a file a kind of check. One is a function, and a line of
`doctor.CHECKS`."""
