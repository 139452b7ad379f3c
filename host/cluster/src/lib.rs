//! Which entities are where, which types are deployed, and how a command reaches its partition.
