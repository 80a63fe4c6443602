fn take<T>(value: T) {}

enum Level {
    None,
    Some(u8),
}

fn calls() {
    take(/*value*/ true);
    take(/*value*/ 1);
    take(/*value*/ 0x1f_u8);
    take(/*value*/ 1.5);
    take(/*value*/ 1e3f32);
    take(/*value*/ b'a');
    take(/*value*/ -1);
    take(/*value*/ -(2.5));
    take(/*value*/ (3));
    take(/*value*/ { 4 });
    take(/*value*/ { { -5 } });
    take(/*value*/ None::<u8>);
    take(/*value*/ Option::None::<u8>);
    take(/*value*/ std::option::Option::<u8>::None);
    // None of these is a bare literal.
    take(Level::None);
    take(Some(1));
    take(Level::Some(1));
    take(!true);
    take(1 + 1);
    take(1 as u8);
    take(&1);
    take([1]);
    take((1, 2));
    take(u8::MAX);
    take(unsafe { 1 });
    take({
        let one = 1;
        1
    });
    {
        use Level::None;
        take(None);
    }
}
