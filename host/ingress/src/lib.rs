//! What callers see: the entity endpoints and the admin API.
