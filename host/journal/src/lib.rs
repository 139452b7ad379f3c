//! The node's log and its partitions' stores, in redb.
