//! Calls of actors on their stores.
