public import ByteParsing
public enum PickleDisassembler { public static func disassemble(_ bytes: RawSpan, limits: Limits = Limits(), line: (String) -> Void) throws(PickleError) {} }
