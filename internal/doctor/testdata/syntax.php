<?php
// Says of each file given what is wrong with its syntax.
foreach (array_slice($argv, 1) as $name) {
    $code = file_get_contents($name);
    if (!str_starts_with($code, '<?php')) {
        $code = "<?php\n" . $code;
    }
    try {
        token_get_all($code, TOKEN_PARSE);
    } catch (ParseError $e) {
        echo "$name: {$e->getMessage()} on line {$e->getLine()}\n";
    }
}
