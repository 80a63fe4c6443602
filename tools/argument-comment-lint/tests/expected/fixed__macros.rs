fn connect(retry: bool, depth: u8) -> bool {
    retry
}

macro_rules! calls_itself {
    ($value:expr) => {
        connect(true, $value)
    };
}

macro_rules! passes_on {
    ($call:expr) => {
        ($call, $call)
    };
}

macro_rules! fills_in {
    () => {
        true
    };
}

macro_rules! declares {
    ($name:ident) => {
        fn $name(size: usize) {}
    };
}

declares!(declared);

fn calls() {
    // The call is the macro's.
    calls_itself!(1);
    // The argument is the macro's.
    connect(fills_in!(), /*depth*/ 1);
    // Both are written here, and only once.
    passes_on!(connect(/*retry*/ true, /*depth*/ 1));
    passes_on!(connect(/*retry*/ true, /*depth*/ 2));
    assert!(connect(/*retry*/ true, /*depth*/ 3));
    assert_eq!(connect(/*retry*/ false, /*depth*/ 1), vec![connect(/*retry*/ true, /*depth*/ 4)][0], "{}", connect(/*retry*/ true, /*depth*/ 5));
    declared(/*size*/ 6);
    println!("{}", 1);
}
