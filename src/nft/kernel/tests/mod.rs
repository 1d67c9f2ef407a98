//! The kernel half without a kernel: what is composed, and what is read.
