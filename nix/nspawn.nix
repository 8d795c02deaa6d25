# SPDX-License-Identifier: LGPL-2.1-or-later
# Formats { Section = { Key = value; }; } as a .nspawn file. A list gives a line for each item, a boolean yes or no.
settings:
let
  text = value:
    if value == true then "yes" else if value == false then "no"
    else if builtins.match ".*\n.*" (toString value) != null then throw "a value of a .nspawn file may not hold a newline"
    else toString value;
  lines = key: value: map (item: "${key}=${text item}\n") (if builtins.isList value then value else [ value ]);
  section = name: keys:
    "[${name}]\n" + builtins.concatStringsSep "" (builtins.concatMap (key: lines key keys.${key}) (builtins.attrNames keys));
in builtins.concatStringsSep "\n" (map (name: section name settings.${name}) (builtins.attrNames settings))
