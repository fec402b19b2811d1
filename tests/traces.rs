//! What leaves for a collector, and what stands on each line of the log: real processes, and a collector of our own
//! that reads what they send.

mod lines;
mod one_trace;
