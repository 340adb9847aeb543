/// Names that run code, read, write or reach the network.
///
/// The list need not be complete: a name that is not listed is unknown or, in the standard library, dangerous anyway.
/// Names are listed here to give a better explanation, or because they are worse than the rest of their library.
enum DangerousNames {
  /// The reasons why the standard library's modules that attacks use most are dangerous, by top-level module.
  static let standard: [String: String] = {
    let table: [(String, String)] = [
      (
        "runs system commands",
        "os posix nt subprocess commands popen2 pty pipes _posixsubprocess _winapi"
      ),
      (
        "accesses the Python interpreter",
        "sys gc inspect _imp imp importlib zipimport pkgutil runpy _frozen_importlib"
      ),
      ("runs code", "code codeop bdb pdb cProfile profile timeit trace doctest compileall py_compile ast"),
      ("loads native code", "ctypes _ctypes"),
      ("unpickles or loads code", "pickle _pickle cPickle marshal shelve copyreg copy_reg"),
      (
        "uses the network",
        """
        socket _socket ssl _ssl urllib urllib2 http httplib ftplib smtplib poplib imaplib nntplib telnetlib xmlrpc \
        xmlrpclib socketserver asyncio webbrowser
        """
      ),
      (
        "reads or writes files",
        "io _io shutil tempfile tarfile zipfile glob fileinput linecache mmap sqlite3 pathlib"
      ),
      ("returns attributes or calls functions", "operator _operator functools types"),
      ("starts processes or threads", "multiprocessing threading _thread thread concurrent venv ensurepip"),
    ]
    var result: [String: String] = [:]
    for (reason, modules) in table {
      for module in modules.split(separator: " ") { result[String(module)] = reason }
    }
    return result
  }()

  /// Returns why a family of library names is dangerous, or nil when the name belongs to none.
  static func family(_ full: String) -> String? {
    // Find the longest family that equals the name or contains it.
    var end = full.endIndex
    while true {
      if let reason = families[String(full[..<end])] {
        return exceptions.contains { full.hasPrefix($0) } ? nil : reason
      }
      guard let dot = full[..<end].lastIndex(of: ".") else { return nil }
      end = dot
    }
  }

  /// The parts of those families that only hold values.
  private static let exceptions = [
    "torch.jit._pickle.", "torch.utils.data.dataset.", "torch.utils.data.dataloader.",
    "torch.utils.data.sampler.",
    "torch.utils.hooks.RemovableHandle", "torch.jit.ScriptModule", "torch.jit.TracedModule",
    "torch.jit._script.RecursiveScriptModule", "torch.utils.data.distributed.DistributedSampler",
    // The nodes of a graph. GraphModule is not an exception: rebuilding it runs the source it holds.
    "torch.fx.graph.", "torch.fx.node.Node", "torch.fx.immutable_collections.",
    "torch.fx._symbolic_trace.Tracer",
    "torch.utils._pytree.",
    "numpy._core._internal._convert_to_stringdtype_kwargs",
  ]

  private static let families: [String: String] = {
    let table: [(String, String)] = [
      (
        "runs or compiles code in PyTorch",
        """
        torch.hub torch.jit torch._inductor torch._dynamo torch.utils torch.fx torch.package torch.ops torch._ops \
        torch.testing torch.distributed.rpc torch.distributed.elastic torch.distributed.launch torch.distributed.run \
        torch.distributed.launcher torch.multiprocessing torch.compiler torch.onnx torch.export torch._export \
        torch.library torch._library torch.classes torch._classes torch.profiler torch._C._jit torch._functorch \
        torch._lazy torch._higher_order_ops torch._custom_ops torch._custom_op torch.backends._nnapi torch.__config__ \
        torch._sources torch._guards torch._logging torch.monitor torch._appdirs torch._vendor torch.contrib \
        torch.distributed.nn.jit torch._strobelight torch.utils.cpp_extension torch.compile torch.import_ir_module
        """
      ),
      (
        "reads or writes files in PyTorch",
        """
        torch.load torch.save torch.serialization torch.from_file torch.storage._load torch.serialization.load \
        torch.PyTorchFileReader torch.PyTorchFileWriter torch._C.PyTorchFileReader torch._C.PyTorchFileWriter \
        torch.distributed.FileStore torch.distributed.distributed_c10d.FileStore \
        torch._C._distributed_c10d.FileStore torch.distributed.checkpoint.FileSystemReader \
        torch.distributed.checkpoint.FileSystemWriter \
        torch.distributed.checkpoint.filesystem.FileSystemReader \
        torch.distributed.checkpoint.filesystem.FileSystemWriter torch.cuda.gds
        """
      ),
      (
        "uses the network in PyTorch",
        """
        torch.distributed.TCPStore torch.distributed.distributed_c10d.TCPStore torch._C._distributed_c10d.TCPStore \
        torch._C._distributed_c10d._WorkerServer torch._C._distributed_rpc torch.distributed.rendezvous
        """
      ),
      (
        "loads or compiles native code in PyTorch",
        """
        torch._C._aoti torch._C.CompilationUnit torch.CompilationUnit torch.cuda.memory.CUDAPluggableAllocator \
        torch.xpu.memory.XPUPluggableAllocator torch.cuda.jiterator torch._jit_internal
        """
      ),
      (
        "runs code, reads or writes in NumPy",
        """
        numpy.f2py numpy.testing numpy.distutils numpy.load numpy.save numpy.savez numpy.savetxt numpy.memmap \
        numpy.core.memmap numpy._core.memmap numpy.fromfile numpy.genfromtxt numpy.loadtxt numpy.fromregex \
        numpy.DataSource numpy.lib numpy.ctypeslib numpy.compat numpy._pytesttester numpy.core._internal \
        numpy._core._internal numpy.fromfunction numpy.vectorize numpy.apply_along_axis numpy.frompyfunc \
        numpy.core._ufunc_reconstruct numpy._core._ufunc_reconstruct numpy._build_utils numpy.__config__ numpy.core._methods
        """
      ),
      (
        "uses the network",
        """
        requests aiohttp urllib3 httpx httpcore websocket websockets grpc zmq paramiko fabric scapy twisted tornado \
        flask django fastapi starlette uvicorn gunicorn boto3 botocore s3fs gcsfs fsspec smart_open pycurl selenium \
        playwright dns huggingface_hub gradio
        """
      ),
      (
        "runs commands or installs",
        """
        pip setuptools pkg_resources _distutils_hack wheel easy_install conda poetry virtualenv pexpect ptyprocess sh \
        plumbum invoke psutil docker execnet celery ray dask distributed.worker pyautogui win32api win32com pywintypes \
        win32process nose pytest _pytest py IPython ipykernel jupyter_client notebook jinja2 mako
        """
      ),
      (
        "unpickles or builds code",
        """
        cloudpickle dill jsonpickle jsonpickle.unpickler hickle klepto pathos ppft loky joblib.load joblib.dump \
        joblib.numpy_pickle.load joblib.numpy_pickle._unpickle joblib.numpy_pickle_compat joblib.externals \
        pandas.read_pickle pandas.io pandas.eval pandas.core.computation srsly.pickle_api yaml ruamel cffi numba \
        llvmlite sklearn.externals triton
        """
      ),
      // The libraries that come with torch: functions that evaluate text, import by name, start processes, or open files.
      (
        "evaluates text as code, or compiles it",
        """
        sympy.sympify sympy.S sympy.core.sympify sympy.core.singleton.S sympy.parsing sympy.printing.preview \
        sympy.printing.gtk sympy.preview sympy.print_gtk sympy.utilities sympy.lambdify sympy.external sympy.testing \
        sympy.test sympy.doctest sympy.interactive sympy.plotting sympy.polys.monomials.MonomialOps \
        sympy.polys.polyconfig sympy.polys.ring_series sympy.physics.quantum.qasm isympy sympy.init_session \
        mpmath.libmp.backend mpmath.libmp.exec_ mpmath.identification mpmath.identify mpmath.runtests mpmath.tests \
        mpmath.functions.zeta networkx.lazy_imports networkx.drawing networkx.readwrite networkx.utils.decorators \
        networkx.utils.backends networkx.read_gpickle networkx.write_gpickle networkx.read_graphml \
        typing_extensions.get_type_hints typing_extensions.get_annotations typing_extensions.evaluate_forward_ref \
        typing_extensions._eval_with_owner typing_extensions.ForwardRef pygments filelock packaging._musllinux \
        packaging._manylinux packaging._elffile packaging.tags packaging.direct_url torchgen functorch.compile
        """
      ),
      (
        "a part of a scanner, which no checkpoint needs",
        "picklescan modelscan fickling modelaudit"
      ),
      (
        "reads files or runs code",
        "pandas.read_csv pandas.read_json pandas.read_html pandas.read_sql pandas.read_excel pandas.read_hdf pandas.read_xml"
      ),
      (
        "runs code of a TensorFlow or Keras model",
        """
        tensorflow.keras.models.load_model keras.models.load_model keras.src.saving keras.saving keras.layers.Lambda \
        tensorflow.io tensorflow.saved_model tensorflow.py_function tensorflow.numpy_function
        """
      ),
    ]
    var result: [String: String] = [:]
    for (reason, names) in table {
      for name in names.split(separator: " ") { result[String(name)] = reason }
    }
    return result
  }()

  /// Returns true when the last part of a name is one of ``leaves``.
  static func namesFunction(_ name: String) -> Bool {
    leaves.contains(String(name.split(separator: ".").last ?? ""))
  }

  /// The last parts of names that mean the same kind of function in whatever module they are defined or re-exported.
  static let leaves: Set<String> = [
    "eval", "exec", "execfile", "compile", "system", "popen", "Popen", "check_output", "check_call",
    "getoutput",
    "getstatusoutput", "import_module", "__import__", "importlib", "getattr", "setattr", "delattr",
    "attrgetter",
    "methodcaller", "runcode", "runsource", "runstring", "run_code", "run_module", "run_path", "urlopen",
    "urlretrieve", "load_module", "exec_module", "spawn", "execv", "execve", "loads", "load_library", "CDLL",
    "load_pickle", "unpickle", "read_pickle", "os", "sys", "subprocess", "builtins", "__builtins__", "posix",
    "socket",
    "pickle", "shutil", "ctypes", "open", "globals", "locals", "__getattribute__", "__subclasses__",
    "__globals__",
    "__class__", "__dict__", "__reduce__", "__reduce_ex__", "FunctionType", "CodeType", "LambdaType",
    "breakpoint",
    "rmtree", "unlink", "remove_file", "download_url", "download_file", "load_state_dict_from_url",
    "exec_command",
    "shell", "run_command", "run_shell", "start_new_thread", "run_cmd",
    // Standard library names that other libraries import, which makes them importable from there too.
    "make_dataclass", "ModuleType", "MethodType", "SourceFileLoader", "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "ThreadPool", "ZipFile", "TarFile", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory",
    "HTTPServer",
    "ThreadingHTTPServer", "ForkingPickler", "ExitStack",
  ]
}
