//! Loads, limits and calls guest components.
