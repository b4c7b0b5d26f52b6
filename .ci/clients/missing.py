"""Stands in for packages that are not installed, so that a module whose functions are
plain Python can be imported without all that the rest of its package needs."""
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types


class _Kind(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __call__(cls, *args, **kwargs):
        if len(args) == 1 and not kwargs and isinstance(args[0], (types.FunctionType, type)):
            return args[0]  # a decorator
        return super().__call__() if cls is not Nothing else cls

    def __getitem__(cls, _):
        return cls

    def __or__(cls, other):
        return other

    __ror__ = __or__

    def __iter__(cls):
        return iter(())

    def __bool__(cls):
        return False


class Nothing(metaclass=_Kind):
    def __init__(self, *args, **kwargs):
        pass

    def __init_subclass__(cls, **kwargs):
        pass

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return {"type": "any"}


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Found last, so only what nothing else finds."""

    def __init__(self, client, absent):
        self.client, self.absent, self.made = client, absent, []

    def asked_by_client(self):
        frame = sys._getframe(2)
        while frame and frame.f_globals.get("__name__", "").startswith(("importlib", "_frozen")):
            if frame.f_code.co_name == "find_spec" and frame.f_globals["__name__"] == "importlib.util":
                return False  # only asks whether there is such a module
            frame = frame.f_back
        return frame and frame.f_globals.get("__name__", "").split(".")[0] == self.client

    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in self.absent or not (top in self.made or self.asked_by_client()):
            return None
        self.made.append(name)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        m = _Module(spec.name)
        m.__path__, m.__version__ = [], "0"
        return m

    def exec_module(self, module):
        pass


def stand_in(client, *absent):
    """Lets client import modules that are not there, but for those in absent."""
    f = Finder(client, set(absent))
    sys.meta_path.append(f)
    return f


def bare(*packages):
    """Lets modules below packages be imported without the packages' own code."""
    for name in packages:
        m = types.ModuleType(name)
        m.__path__ = list(importlib.util.find_spec(name).submodule_search_locations) if "." not in name else [
            f"{p}/{name.rpartition('.')[2]}" for p in sys.modules[name.rpartition(".")[0]].__path__]
        sys.modules[name] = m
