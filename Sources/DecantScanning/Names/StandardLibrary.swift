/// The modules and names of Python's standard library, for CPython 2.7 to 3.14.
///
/// Source: `sys.stdlib_module_names` of 3.11, the module index of 2.7, and the modules added since.
enum StandardLibrary {
  /// Returns true when a name holds or rebuilds a value and does nothing else.
  static func isInert(_ module: String, _ name: String) -> Bool {
    if inert[module]?.contains(name) == true { return true }
    // Names for annotations. The functions of `typing` evaluate text.
    return module == "typing" && NameClass.isTypeName(name) && !name.contains(".") && name != "ForwardRef"
  }

  /// Returns true when a name is a metaclass: called with a name, bases and a body, it makes a class.
  static func isMetaclass(_ module: String, _ name: String) -> Bool {
    ["abc", "enum", "typing"].contains(module) && (name.hasSuffix("Meta") || name == "EnumType")
  }

  private static let inert: [String: Set<String>] = {
    let dates: Set<String> = ["date", "time", "datetime", "timedelta", "timezone"]
    let decimals: Set<String> = ["Decimal", "Context"]
    let paths: Set<String> = [
      "PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath",
    ]
    let reconstruction: Set<String> = ["_reconstructor", "__newobj__", "__newobj_ex__"]
    let networks: Set<String> = [
      "IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface",
    ]
    let buffers: Set<String> = ["BytesIO", "StringIO"]
    let iterators: Set<String> = ["count", "cycle", "repeat", "chain"]
    return [
      "datetime": dates, "_datetime": dates, "_pydatetime": dates,
      "decimal": decimals, "_decimal": decimals, "_pydecimal": decimals,
      "fractions": ["Fraction"],
      "uuid": ["UUID", "SafeUUID"],
      "pathlib": paths, "pathlib._local": paths,
      "collections": ["deque", "ChainMap", "UserDict", "UserList", "UserString"],
      "_collections": ["deque", "OrderedDict", "defaultdict"],
      "argparse": ["Namespace"],
      "types": ["SimpleNamespace", "MappingProxyType", "NoneType"],
      "enum": ["Enum", "IntEnum", "Flag", "IntFlag", "StrEnum", "auto", "EnumMeta", "EnumType"],
      "copy_reg": reconstruction, "copyreg": reconstruction,
      "ipaddress": networks,
      "re": ["_compile", "RegexFlag"],
      "array": ["array", "_array_reconstructor"],
      "random": ["Random"], "_random": ["Random"],
      "functools": ["partial"],
      "operator": ["itemgetter"], "_operator": ["itemgetter"],
      "itertools": iterators,
      "io": buffers, "_io": buffers,
      "logging": ["getLogger", "Logger", "RootLogger", "Formatter", "Filter"],
      "time": ["struct_time"],
      "weakref": ["WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "ref"],
      "_weakrefset": ["WeakSet"],
      "abc": ["ABC", "ABCMeta"],
      "numbers": ["Number", "Complex", "Real", "Rational", "Integral"],
      "string": ["Template"],
      "zoneinfo": ["ZoneInfo"],
      "http": ["HTTPStatus"],
      "signal": ["Signals", "Handlers"],
      "dataclasses": ["_MISSING_TYPE", "Field"],
    ]
  }()

  /// Returns true when a name is a numeric function or a Python operator, which does nothing unless it is called.
  static func isPure(_ module: String, _ name: String) -> Bool {
    switch module {
    case "math", "cmath": name.utf8.allSatisfy { $0 >= 0x61 && $0 <= 0x7A || $0 >= 0x30 && $0 <= 0x39 }
    case "operator", "_operator": operators.contains(name)
    default: false
    }
  }

  private static let operators: Set<String> = Set(
    """
    abs add and_ concat contains countOf eq floordiv ge getitem gt iadd iand ifloordiv ilshift imatmul imod imul \
    index indexOf inv invert ior ipow irshift is_ is_not isub itruediv ixor le length_hint lshift lt matmul mod mul \
    ne neg not_ or_ pos pow rshift sub truediv truth xor
    """.split(separator: " ").map(String.init))

  /// The builtin functions that do nothing unless they are called.
  static let pureBuiltins: Set<String> = Set(
    """
    abs all any ascii bin chr divmod enumerate filter format hash hex id isinstance issubclass iter len map max min \
    next oct ord pow print repr reversed round sorted sum zip
    """.split(separator: " ").map(String.init))

  /// The builtins beyond those of ``TensorFileNames`` that only hold a value.
  static let inertBuiltins: Set<String> = [
    "NotImplementedType", "NoneType", "ellipsis", "Ellipsis", "NotImplemented", "type", "property",
    "staticmethod",
    "classmethod", "memoryview", "basestring", "buffer",
  ]

  /// The names of the top-level modules.
  static let modules: Set<String> = Set(
    """
    __pypy__ _cffi_backend _continuation _cppyy _distutils_system_mod _ffi _hpy_universal _jit _jitlog \
    _LWPCookieJar _MozillaCookieJar _marshal _math_integer _minimal_curses _pickle_support _pypy_interact \
    _pypy_wait _pypyjson _rawffi _structseq _testexternalinspection _testing _testlimitedcapi _vmprof \
    _xxinterpchannels cffi cpyext ctypes_support greenlet identity_dict linuxaudiodev profiling pypy_tools pypyjit \
    stackless tputil xxlimited_35 \
    __future__ __hello__ __phello__ _abc _aix_support _android_support _apple_support _ast _ast_unparse _asyncio \
    _bisect _blake2 _bootlocale _bootsubprocess _bsddb _builtin _bz2 _codecs _codecs_cn _codecs_hk _codecs_iso2022 \
    _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc _colorize _compat_pickle _compression \
    _contextvars _crypt _csv _ctypes _ctypes_test _curses _curses_panel _datetime _dbm _decimal \
    _dummy_thread _dummy_threading _elementtree _frozen_importlib _frozen_importlib_external _functools _gdbm \
    _hashlib _heapq _hmac _hotshot _imp _interpchannels _interpqueues _interpreters _io _ios_support _json _locale \
    _lsprof _lzma _markupbase _md5 _msi _multibytecodec _multiprocessing _opcode _opcode_metadata _operator \
    _osx_support _overlapped _pickle _posixshmem _posixsubprocess _py_abc _py_warnings _pydatetime _pydecimal \
    _pyio _pylong _pyrepl _queue _random _remote_debugging _scproxy _sha _sha1 _sha2 _sha256 _sha3 _sha512 _signal \
    _sitebuiltins _socket _sqlite3 _sre _ssl _stat _statistics _string _strptime _struct _suggestions _symtable \
    _sysconfig _sysconfigdata _testbuffer _testcapi _testclinic _testimportmultiple _testinternalcapi \
    _testmultiphase _testsinglephase _thread _threading_local _tkinter _tokenize _tracemalloc _types _typing _uuid \
    _warnings _weakref _weakrefset _winapi _winreg _wmi _xxsubinterpreters _xxtestfuzz _zoneinfo _zstd abc aifc \
    annotationlib antigravity anydbm argparse array ast asynchat asyncio asyncore atexit audiodev audioop base64 bdb \
    binascii binhex bisect bsddb bz2 cPickle cProfile cStringIO calendar cgi cgitb chunk cmath cmd code codecs codeop \
    collections colorsys commands compileall compiler compression concurrent configparser contextlib contextvars \
    cookielib copy copy_reg copyreg crypt csv ctypes curses dataclasses datetime dbhash dbm decimal difflib dircache \
    dis distutils dl doctest dumbdbm dummy_thread dummy_threading email encodings ensurepip enum errno exceptions \
    faulthandler fcntl filecmp fileinput fnmatch formatter fpectl fpformat fractions ftplib functools future_builtins \
    gc gdbm genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac hotshot html htmlentitydefs \
    htmllib http httplib idlelib ihooks imageop imaplib imghdr imp importlib imputil inspect io ipaddress itertools \
    json keyword lib2to3 linecache locale logging lzma macpath macurl2path mailbox mailcap marshal math md5 mhlib \
    mimetools mimetypes mimify mmap modulefinder msilib msvcrt multifile multiprocessing mutex netrc new nis nntplib \
    nt ntpath nturl2path numbers opcode operator optparse os os2emxpath ossaudiodev parser pathlib pdb pickle \
    pickletools pipes pkgutil platform plistlib popen2 poplib posix posixfile posixpath pprint profile pstats pty pwd \
    py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline repr reprlib resource rexec rfc822 \
    rlcompleter robotparser runpy sched secrets select selectors sets sgmllib sha shelve shlex shutil signal site \
    sitecustomize smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre sre_compile sre_constants sre_parse ssl \
    stat statistics statvfs string stringold stringprep strop struct subprocess sunau sunaudio symbol symtable sys \
    sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this thread threading time timeit \
    tkinter toaiff token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata \
    unittest urllib urllib2 urlparse user usercustomize uu uuid venv warnings wave weakref webbrowser whichdb winreg \
    winsound wsgiref xdrlib xml xmllib xmlrpc xmlrpclib xxlimited xxsubtype zipapp zipfile zipimport zlib zoneinfo \
    Bastion BaseHTTPServer CGIHTTPServer ConfigParser Cookie DocXMLRPCServer HTMLParser MimeWriter Queue \
    ScrolledText SimpleHTTPServer SimpleXMLRPCServer SocketServer StringIO Tix Tkinter Tkconstants UserDict UserList \
    UserString Dialog FileDialog SimpleDialog Tkdnd _abcoll markupbase tkColorChooser tkCommonDialog tkFileDialog \
    tkFont tkMessageBox tkSimpleDialog ttk
    """.split { $0 == " " || $0 == "\n" }.map(String.init))
}
