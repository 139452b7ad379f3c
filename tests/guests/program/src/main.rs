//! A component of another world: a program with a main function.

fn main() {
    println!("I am no entity");
}
